"""What a runner is asked and what happens in it: requests, events, log lines."""
