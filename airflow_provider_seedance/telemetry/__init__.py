"""What Airflow and OpenLineage learn of a task: metrics, events of Airflow Assets, lineage."""
