"""Helpers that tests of several folders share, one name per job.

- `waiting`: `eventually`; `network`: `free_port`
- `embedded_aws`: an embedded AWS that is stopped in any case
- `pictures`: photos to upload and drawn data sets to train on
- `upload_stage`: a deployed stage: upload photos, read decisions, run executions
- `retraining_stage`: a stage whose model is trained again; `training_code`: training code that is fast or fails
"""
