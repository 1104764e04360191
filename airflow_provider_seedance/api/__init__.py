"""The wire protocol, as pure functions on plain data: no Airflow, no HTTP client, no clock."""
