"""The flags that say how rows are scored: the model, its columns, its feed and its outputs."""

from typing import Literal, get_args

from options.flag import Command, Flag, Group, Kind

InputFormat = Literal["auto", "columns", "tf_example"]
ImageResize = Literal["stretch", "crop", "pad"]
ChannelOrder = Literal["RGB", "BGR"]
NonFinite = Literal["keep", "null", "reject"]
OnNull = Literal["reject", "default"]

SCORING_FLAGS: tuple[Flag, ...] = (
    Flag(
        "model",
        Kind.TEXT,
        Group.MODEL,
        "SavedModel to score with: a local folder or .tar.gz, a gs:// folder, "
        "or a TensorFlow Hub or Kaggle URL.",
        metavar="MODEL",
        required=True,
        commands=get_args(Command),
    ),
    Flag(
        "signature",
        Kind.TEXT,
        Group.MODEL,
        "Signature of the model to call. Without it, serving_default, or the only one there is; "
        "in a model without signatures the function __call__, or the only one.",
        metavar="NAME",
        commands=get_args(Command),
    ),
    Flag(
        "json",
        Kind.SWITCH,
        Group.MODEL,
        "Print one JSON object for programs instead of tables. Only for inspect.",
        default="false",
        commands=("inspect",),
    ),
    Flag(
        "max_batch_size",
        Kind.INTEGER,
        Group.MODEL,
        "Largest number of rows in one call of the model. Calls begin with 32 rows and grow while "
        "that makes a row cheaper; lower it if the model runs out of memory.",
        metavar="ROWS",
        default="65536",
        minimum=1,
        maximum=1_000_000,
    ),
    Flag(
        "xla",
        Kind.SWITCH,
        Group.MODEL,
        "Have XLA compile the model, for each of a few numbers of rows. Attention, recurrent and "
        "element by element layers become faster, convolutions on a CPU much slower: compare what "
        "check says with and without it. Not for strings and rows of different lengths.",
        default="false",
    ),
    Flag(
        "input_columns",
        Kind.INPUT_MAPPING,
        Group.COLUMNS,
        "Column that feeds each input of the model; INPUT=[COLUMN,...] stacks scalar columns into "
        "one vector. Inputs left out are matched to columns by name.",
        metavar="INPUT=COLUMN,...",
    ),
    Flag(
        "output_columns",
        Kind.OUTPUT_MAPPING,
        Group.COLUMNS,
        "Outputs of the model to write, each with the column that receives it; an output without "
        "=COLUMN keeps its name. Without the flag, all outputs are written.",
        metavar="OUTPUT[=COLUMN],...",
    ),
    Flag(
        "key_columns",
        Kind.COLUMNS,
        Group.COLUMNS,
        "Columns that identify a row. They are copied to the predictions and to the rejects.",
        metavar="COLUMN,...",
    ),
    Flag(
        "passthrough_columns",
        Kind.COLUMNS_OR_ALL,
        Group.COLUMNS,
        "Further columns to copy to the predictions; * copies all columns of the source.",
        metavar="COLUMN,...",
    ),
    Flag(
        "on_null",
        Kind.CHOICE,
        Group.FEED,
        "What a NULL does in an input that --default_values does not name: it rejects the row, or "
        "counts as 0, false or the empty string.",
        default="reject",
        choices=get_args(OnNull),
    ),
    Flag(
        "default_values",
        Kind.INPUT_VALUES,
        Group.FEED,
        "Value that a NULL counts as, for each input named.",
        metavar="INPUT=VALUE,...",
    ),
    Flag(
        "input_shapes",
        Kind.INPUT_SHAPES,
        Group.FEED,
        "Shape of one row of an input whose model leaves it open, without the batch: "
        "x=[28,28,1] makes such a tensor of an ARRAY of 784 elements.",
        metavar="INPUT=[SIZE,...],...",
    ),
    Flag(
        "uri_columns",
        Kind.COLUMNS,
        Group.FEED,
        "Columns of gs:// URIs whose objects feed the model instead of the text. A STRING column "
        "that feeds an image input is one without being named.",
        metavar="COLUMN,...",
    ),
    Flag(
        "pad_value",
        Kind.NUMBER,
        Group.FEED,
        "What fills the shorter ARRAYs of an input of variable length.",
        metavar="NUMBER",
        default="0",
    ),
    Flag(
        "input_format",
        Kind.CHOICE,
        Group.FEED,
        "auto looks into the model's graph for an input that parses serialized tf.Examples and "
        "encodes the columns for it; tf_example encodes them without looking; columns never does.",
        default="auto",
        choices=get_args(InputFormat),
    ),
    Flag(
        "image_scaling",
        Kind.TEXT,
        Group.FEED,
        "Range of the pixels of a decoded image, 0..1, -1..1 or 0..255, and optionally "
        "mean=R,G,B;std=R,G,B. Without it, 0..1 for float inputs and 0..255 for integer ones.",
        metavar="SCALING",
    ),
    Flag(
        "image_resize",
        Kind.CHOICE,
        Group.FEED,
        "How an image gets the model's height and width: stretched, its middle cropped, or padded "
        "with black.",
        default="stretch",
        choices=get_args(ImageResize),
    ),
    Flag(
        "image_channel_order",
        Kind.CHOICE,
        Group.FEED,
        "Order of the channels that the model was trained with.",
        default="RGB",
        choices=get_args(ChannelOrder),
    ),
    Flag(
        "top_k",
        Kind.INTEGER,
        Group.OUTPUTS,
        "Write the K best classes of the model's score vector, best first, as "
        "ARRAY<STRUCT<label, index, score>> instead of all scores.",
        metavar="K",
        minimum=1,
        maximum=10_000,
    ),
    Flag(
        "explode",
        Kind.SWITCH,
        Group.OUTPUTS,
        "Write one row a class, with the columns label, index and score, instead of one row with "
        "all classes; the K best of them with --top_k.",
        default="false",
    ),
    Flag(
        "class_labels",
        Kind.TEXT,
        Group.OUTPUTS,
        "File with the names of the classes in the model's order, one a line or a JSON list; a "
        "local or gs:// path. Needs --top_k or --explode.",
        metavar="FILE",
    ),
    Flag(
        "softmax",
        Kind.SWITCH,
        Group.OUTPUTS,
        "The scores are logits: make them probabilities. Needs --top_k or --explode.",
        default="false",
    ),
    Flag(
        "on_non_finite",
        Kind.CHOICE,
        Group.OUTPUTS,
        "What becomes of NaN and infinity in an output: kept, made NULL (scalar outputs), or the "
        "row is rejected.",
        default="keep",
        choices=get_args(NonFinite),
    ),
    Flag(
        "metadata_columns",
        Kind.METADATA_MAPPING,
        Group.OUTPUTS,
        "Columns that say where a prediction comes from, run_id and model_digest, each renamed by "
        "=COLUMN if need be; none for neither.",
        metavar="NAME[=COLUMN],...",
        default="run_id,model_digest",
        choices=("run_id", "model_digest"),
    ),
)
