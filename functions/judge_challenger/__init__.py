"""JudgeChallenger: decide whether the challenger becomes champion."""
