"""Apache Airflow provider for Seedance 2.0 video generation through the Starrise AI API."""

__version__ = "0.1.0"
