"""Scheduled operations on fleets of servers, at the hour that the operator's own clock says."""
