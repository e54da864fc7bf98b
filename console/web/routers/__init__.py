"""One router for each page of the console, with the API that the page calls."""
