"""Keep the state of the embedded AWS in a folder: saved periodically and at a clean stop, restored at the next start.

- `snapshot`: the file format, its version and its checksum; `blobs`: object bodies and code, a file per content
- `services`: what is saved of each service of ministack, and how it is restored
- `saver`: when it is saved; `folder`: what is in the folder, for people
"""
