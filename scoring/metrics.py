"""The counters of a run: their names and units, in one place, for whoever reads them."""

NAMESPACE = "bulkscore"

ROWS_READ = "rows_read"
ROWS_SCORED = "rows_scored"
ROWS_REJECTED = "rows_rejected"
# Rows that the model was called with although a NULL in them had to be replaced.
NULLS_DEFAULTED = "nulls_defaulted"
CALLS = "calls"
# Objects that URIs in the rows name, and the wall time that scoring waited for them.
OBJECTS_FETCHED = "objects_fetched"
OBJECT_BYTES = "object_bytes"
FETCH_US = "fetch_us"
# Distribution of Beam's RunInference, one update a load.
MODEL_LOAD_MS = "load_model_latency_milli_secs"
# Wall time of the steps of scoring, summed over all calls and workers.
FEED_US = "feed_us"
CALL_US = "call_us"
OUTPUTS_US = "outputs_us"
# Wall time spent waiting for pages of the source, and writing files.
READ_US = "read_us"
WRITE_US = "write_us"
FILE_BYTES = "file_bytes"
