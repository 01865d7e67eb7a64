"""Benchmark suites: methods x data sets x backbones x seeds, run once each into one table.

`suite` reads and checks a YAML file, `tasks` makes its tasks and their keys, `prepare` its archives
and splits, `worker` trains one task, `engine` runs them all, `table` is the file of results.
"""
