"""What bulkscore knows of an option that belongs to Beam."""

import json
from dataclasses import dataclass
from typing import Literal

from options.errors import UsageError

BeamValue = Literal["switch", "text", "optional_text", "integer", "number", "json"]


@dataclass(frozen=True)
class BeamOption:
    """The value that an option of Beam takes; `choices` is empty where any value will do."""

    value: BeamValue
    choices: tuple[str, ...] = ()


# Options that contradict what bulkscore is; the reason ends the message.
REFUSED: dict[str, str] = {
    "streaming": "bulkscore runs batch jobs only",
    "enable_streaming_engine": "bulkscore runs batch jobs only",
    "update": "only streaming jobs can be updated, and bulkscore runs batch jobs",
    "transform_name_mapping": "only streaming jobs can be updated, and bulkscore runs batch jobs",
    "create_from_snapshot": "only streaming jobs have snapshots, and bulkscore runs batch jobs",
}

# The argument that says of a switch that it is off, where that is not what its absence says.
# enable_streaming_engine has none, and is on in Beam 2.77: a batch job does not heed it.
_OPPOSITES: dict[str, str] = {
    "use_public_ips": "--no_use_public_ips",
    "no_use_public_ips": "--use_public_ips",
    "save_main_session": "--no_save_main_session",
    "no_save_main_session": "--save_main_session",
}


def beam_argument(name: str, option: BeamOption, text: str | None) -> str | None:
    """The argument to hand to Beam, `--name=text`; None where `text` says "not given".

    `text` is None if the option came bare.  A blank text counts as not given, which is how a
    template passes an optional parameter.

    Raises:
      UsageError: Beam would not accept the value, or bulkscore refuses the option.
    """
    if text is not None and not text.strip():
        return None
    is_off = option.value == "switch" and text is not None and text.lower() == "false"
    if is_off:
        # How launchers pass what is not wanted; Beam takes no value here.
        return _OPPOSITES.get(name)
    if name in REFUSED:
        raise UsageError(f"--{name} cannot be used: {REFUSED[name]}. Drop it.")
    if option.value == "switch":
        if text is not None and text.lower() != "true":
            raise UsageError(f"--{name}: got {text!r}, expected true or false.")
        return f"--{name}"
    if text is None:
        return f"--{name}"
    _check_value(name, option, text)
    return f"--{name}={text}"


def _check_value(name: str, option: BeamOption, text: str) -> None:
    if option.choices and text not in option.choices:
        raise UsageError(f"--{name}: got {text!r}, expected one of {', '.join(option.choices)}.")
    try:
        if option.value == "integer":
            int(text)
        elif option.value == "number":
            float(text)
        elif option.value == "json":
            json.loads(text)
    except (ValueError, RecursionError) as e:
        raise UsageError(f"--{name}: got {text!r}, expected {_EXPECTED[option.value]}.") from e


_EXPECTED: dict[BeamValue, str] = {
    "integer": "a whole number",
    "number": "a number",
    "json": 'JSON, such as {"name": "value"}',
}
