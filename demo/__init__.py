"""The demo: real source files and photographs, scored by real models in embedded BigQuery."""
