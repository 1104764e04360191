"""Tools for developers: environments, a real local Airflow, the demo."""
