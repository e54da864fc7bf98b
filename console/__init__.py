"""The reviewers' and operators' console: people answer what the model was unsure of, in a browser or in a terminal.

`desk` holds what a review is, without any user interface; `web` and `plain` are the two faces of it. Everything here
talks to AWS by the names in the stack's outputs (`resources`) and does not know which AWS that is.
"""
