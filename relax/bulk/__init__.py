"""Maps of many pictures, in shards on the disk: made by one process or by Ray, stopped and continued, read again."""
