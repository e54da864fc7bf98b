"""Helpers that tests of several folders share.

- `waiting`: `eventually`; `network`: `free_port`
- `embedded_aws`: an embedded AWS that is stopped even after an error
- `images`: photos to upload and drawn data sets to train on; `training`: a fast recipe and photos as files
- `upload_stage`: a deployed stage: upload photos, read decisions, run executions
- `retraining_stage`: a stage whose model is retrained; `training_code`: training code that is fast or fails
"""
