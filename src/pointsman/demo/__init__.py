"""The main job, shown: real calls with an unmodified client through a gateway to a real model."""
