"""The measurements of `make bench`: latency, throughput, memory, cold starts and sizes, each with a baseline.

- `stack`: a temporary stack with the baselines: the usual chain of three Lambdas that pass the photo as base64 text
  from state to state, and an empty state machine, each started by uploads as classify-photo is
- `functions/`: the code of the Lambdas in it
- `designs`, `executions`: upload photos to a design, and read start and end of each execution from its status events
- `photos`: small PNGs and larger JPEGs that the champion is confident of
- `unique`: photos that are all different, for `make load`
- `latency`, `burst`, `processes`, `cold_starts`, `sizes`: one measurement each; `results`: figures, targets, table
- `trace`: where one photo's time goes, by state and by AWS call
"""
