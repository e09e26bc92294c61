"""Classify an archive of recordings, a folder or a bucket, into Parquet tables: see docs/archive.md."""
