"""Files at addresses such as ``s3://bucket/film.mp4``, through fsspec, an extra."""
