"""An archive of recordings, from a folder to a bucket, judged into Parquet tables: see docs/archive.md."""
