"""AnswerDriver: answer the requests of the drivers' HTTP API."""
