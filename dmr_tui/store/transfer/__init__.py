"""Moving models between the store and registries, over the OCI distribution API.

`pull` and `push` are what others call. Below them: `registry` speaks the API for one repository,
`auth` and `credentials` answer its challenges, `wire` is the HTTP, `fetch` gets one blob.
"""
