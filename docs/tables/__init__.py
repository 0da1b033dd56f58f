"""The tables of the pages, each one computed: `frameworks`, `rules`, `policy_files`."""
