"""The worker: takes orders from Redis, carries them out with meta_core, and heals what others left undone."""
