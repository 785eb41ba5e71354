"""The programs that score a task, one a module; `benchmarks.contestant` lists them."""
