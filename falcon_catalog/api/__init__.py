"""HTTP: requests to verbs, results and errors to responses."""
