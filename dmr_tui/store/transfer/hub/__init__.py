"""Models of the Hugging Face Hub, pulled straight into the store.

`name` reads what a person types, `client` speaks the Hub's API, `choice` picks the files, and
`pull` fetches them with the same engine that registries use.
"""
