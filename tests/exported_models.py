"""SavedModels as other people export them: old formats, no signatures, ops of other packages.

Each builder saves one into a folder and returns the folder.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from saved_models import Builder, texts


def hub_module(folder: Path) -> Path:
    """The TF1 hub.Module format: graphs without tags and for training, the signature `default`.

    x: float32[None] -> default: float32[None], 3 * x (in training 4 * x).  The 3 is a variable
    which no saver names, as tensorflow-hub left it.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    builder = v1.saved_model.Builder(str(folder))
    for tags, extra in (([], 0.0), (["train"], 1.0)):
        with tf.Graph().as_default(), v1.Session() as session:
            x = v1.placeholder(tf.float32, [None], name="x")
            weight = v1.get_variable("weight", initializer=3.0, use_resource=False)
            signature = _v1_signature(x, x * (weight + extra), "default")
            session.run(v1.global_variables_initializer())
            if tags:
                builder.add_meta_graph(tags, {"default": signature})
            else:
                builder.add_meta_graph_and_variables(session, tags, {"default": signature})
    builder.save()
    # A ModuleDef of format 3, the only one there was (tensorflow_hub/module_def.proto).
    (folder / "tfhub_module.pb").write_bytes(b"\x08\x03")

    def forget_saver(model: Any) -> None:
        for graph in model.meta_graphs:
            graph.ClearField("saver_def")

    return edited(folder, forget_saver)


def called(folder: Path) -> Path:
    """Nothing but __call__: x: float32[None] -> output_0: float32[None], 3 * x."""
    import tensorflow as tf

    class Model(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = tf.Variable(3.0)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
        def __call__(self, x: Any) -> Any:
            return self.weight * x

    # Without signatures={} TensorFlow makes one of a function that takes tensors alone.
    tf.saved_model.save(Model(), str(folder), signatures={})
    return folder


def traced_for_training(folder: Path) -> Path:
    """__call__(inputs, training, scale=2.0) with the dict inputs of a: float32[None] and
    b: int32[None] -> sum: float32[None], scale * (a + b), or 0 in training; and parts, a list.
    """
    import tensorflow as tf

    class Model(tf.Module):
        @tf.function
        def __call__(self, inputs: Any, training: bool = True, *, scale: float = 2.0) -> Any:
            total = scale * (inputs["a"] + tf.cast(inputs["b"], tf.float32))
            parts = [inputs["a"], None, (inputs["b"],)]
            return {"sum": 0.0 * total if training else total, "parts": parts}

    model = Model()
    specs = {"a": tf.TensorSpec([None]), "b": tf.TensorSpec([None], tf.int32)}
    for training in (True, False):
        model.__call__.get_concrete_function(specs, training)
    tf.saved_model.save(model, str(folder))
    return folder


def traced_twice(folder: Path) -> Path:
    """__call__ for x: float32[None] and for x: float32[None, 2], and the function `total`."""
    import tensorflow as tf

    class Model(tf.Module):
        @tf.function
        def __call__(self, x: Any) -> Any:
            return {"y": 2.0 * x}

        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32)])
        def total(self, rows: Any) -> Any:
            return tf.reduce_sum(rows, axis=1)

    model = Model()
    for shape in ([None], [None, 2]):
        model.__call__.get_concrete_function(tf.TensorSpec(shape))
    tf.saved_model.save(model, str(folder), signatures={})
    return folder


def several_functions(folder: Path) -> Path:
    """Functions `plus_one` and `twice`, each x: float32[None] -> output_0: float32[None]."""
    import tensorflow as tf

    spec = tf.TensorSpec([None], tf.float32)
    module = tf.Module()
    module.plus_one = tf.function(lambda x: x + 1.0, input_signature=[spec])
    module.twice = tf.function(lambda x: x * 2.0, input_signature=[spec])
    tf.saved_model.save(module, str(folder))
    return folder


def example_function(folder: Path) -> Path:
    """The function `score` of serialized tf.Examples with x: float32 -> y: float32[None], 2 * x."""
    import tensorflow as tf

    def score(examples: Any) -> dict[str, Any]:
        parsed = tf.io.parse_example(examples, {"x": tf.io.FixedLenFeature([], tf.float32)})
        return {"y": 2.0 * parsed["x"]}

    module = tf.Module()
    module.score = tf.function(score, input_signature=[tf.TensorSpec([None], tf.string)])
    tf.saved_model.save(module, str(folder), signatures={})
    return folder


def folded(folder: Path) -> Path:
    """text: string[None] -> folded: string[None], case folded by an op of tensorflow-text."""
    import tensorflow as tf
    import tensorflow_text

    def score(text: Any) -> dict[str, Any]:
        return {"folded": tensorflow_text.case_fold_utf8(text)}

    return _signature(folder, score, text=tf.TensorSpec([None], tf.string))


def free_pictures(folder: Path) -> Path:
    """my/image: float32[None, None, None, 3] -> y: float32[None], the sum of the pixels."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        image = v1.placeholder(tf.float32, [None, None, None, 3])
        info = v1.saved_model.build_tensor_info
        signature = v1.saved_model.build_signature_def(
            {"my/image": info(image)},
            {"y": info(tf.reduce_sum(image, axis=[1, 2, 3]))},
            "tensorflow/serving/predict",
        )
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()
    return folder


def with_ops(*names: str) -> Builder:
    """Builds a model whose graph uses these ops, one after the other, which TensorFlow lacks."""

    def build(folder: Path) -> Path:
        import tensorflow as tf

        assert all(not hasattr(tf.raw_ops, name) for name in names)

        def add(model: Any) -> None:
            functions = model.meta_graphs[0].graph_def.library.function
            inside = next(f for f in functions if any(n.op == "StringUpper" for n in f.node_def))
            for name in names:
                inside.node_def.add(name=name.replace(">", "_"), op=name)

        return edited(texts(folder), add)

    return build


def without_kernel(folder: Path) -> Path:
    """x: float32[None] -> y: float32[None], by an op that runs on NVIDIA's devices alone."""
    import tensorflow as tf

    def score(x: Any) -> dict[str, Any]:
        zeros = tf.zeros([1, 1, 1])
        net = tf.raw_ops.CudnnRNN(
            input=x[None, :, None], input_h=zeros, input_c=zeros, params=tf.zeros([100])
        )
        return {"y": net.output[0, :, 0]}

    return _signature(folder, score, x=tf.TensorSpec([None], tf.float32))


def on_another_machine(folder: Path) -> Path:
    """x: float32[None] -> y: float32[None], 2 * x, placed on a worker of a cluster."""
    return _v1(folder, lambda tf, x: _on_worker(tf, x))


def reference_variables(folder: Path) -> Path:
    """x: float32[None] -> y: float32[None], 3 * x + 1, of VariableV2 in all their forms.

    The 3 is a plain variable, the 1 lies in the second part of a partitioned one.
    """

    def score(tf: Any, x: Any) -> Any:
        v1 = tf.compat.v1
        weight = v1.get_variable("weight", initializer=3.0, use_resource=False)
        table = v1.get_variable(
            "table",
            initializer=tf.constant([[0.0], [0.0], [0.0], [1.0]]),
            partitioner=v1.fixed_size_partitioner(2),
            use_resource=False,
        )
        row = v1.nn.embedding_lookup(table, tf.fill(tf.shape(x), 3), partition_strategy="div")
        return weight * x + row[:, 0]

    return _v1(folder, score)


def unsaved_variable(folder: Path, *, use_resource: bool = False) -> Path:
    """x: float32[None] -> y: float32[None], by a variable that is in no collection and no file."""

    def score(tf: Any, x: Any) -> Any:
        v1 = tf.compat.v1
        with v1.variable_scope("", use_resource=use_resource):
            kept = v1.get_variable("kept", initializer=3.0)
            return x * kept * v1.get_variable("lost", initializer=3.0, collections=[])

    return _v1(folder, score)


def unsaved_resource(folder: Path) -> Path:
    """The same with variables of the later kind."""
    return unsaved_variable(folder, use_resource=True)


def unfed_placeholder(folder: Path) -> Path:
    """x: float32[None] -> y: float32[None], x by a placeholder that is no input."""
    return _v1(folder, lambda tf, x: x * tf.compat.v1.placeholder(tf.float32, [], name="keep"))


def python_function(folder: Path) -> Path:
    """x: float32[None] -> y: float32[None], by a function in Python of the exporting process."""

    def rename(model: Any) -> None:
        for node in model.meta_graphs[0].graph_def.node:
            if node.op == "PyFunc":
                # A name that this process does not know, as no other does.
                node.attr["token"].s = b"pyfunc_of_old"

    def score(tf: Any, x: Any) -> Any:
        return tf.numpy_function(lambda values: values, [x], tf.float32)

    return edited(_v1(folder, score), rename)


def vocabulary(folder: Path) -> Path:
    """word: string[None] -> id: int64[None], the line in the asset `words.txt`: a, b; else -1."""
    import tensorflow as tf

    words = folder.with_name(f"{folder.name}_words.txt")
    words.write_text("a\nb\n", encoding="utf-8")
    module = tf.Module()
    rows = tf.lookup.TextFileInitializer(
        str(words), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, -1
    )
    module.table = tf.lookup.StaticHashTable(rows, -1)
    spec = tf.TensorSpec([None], tf.string, name="word")
    module.score = tf.function(lambda word: {"id": module.table.lookup(word)}, [spec])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.score})
    return folder


def edited(folder: Path, edit: Callable[[Any], None]) -> Path:
    """The model with its graph file edited in place."""
    from tensorflow.core.protobuf import saved_model_pb2

    graph_file = folder / "saved_model.pb"
    message = saved_model_pb2.SavedModel.FromString(graph_file.read_bytes())
    edit(message)
    graph_file.write_bytes(message.SerializeToString())
    return folder


def _signature(folder: Path, function: Callable[..., dict[str, Any]], **specs: Any) -> Path:
    import tensorflow as tf

    module = tf.Module()
    module.score = tf.function(function)
    signature = module.score.get_concrete_function(**specs)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": signature})
    return folder


def _on_worker(tf: Any, x: Any) -> Any:
    with tf.device("/job:worker/task:3"):
        return 2.0 * x


def _v1(folder: Path, function: Callable[[Any, Any], Any]) -> Path:
    """Saves a graph of TensorFlow 1 as serving_default, x: float32[None] -> y."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None], name="x")
        signature = _v1_signature(x, function(tf, x), "y")
        if v1.global_variables():
            session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()
    return folder


def _v1_signature(x: Any, y: Any, output: str) -> Any:
    import tensorflow as tf

    v1 = tf.compat.v1
    info = v1.saved_model.build_tensor_info
    return v1.saved_model.build_signature_def(
        {"x": info(x)}, {output: info(y)}, "tensorflow/serving/predict"
    )
