"""`maybe-master doctor`: examines the settings, the database, the broker and the API."""
