"""The plugin inside Datasette: routes, pages, row actions, permissions.

A thin shell: it asks `resync` to plan and apply, and says what came of it. No SQL but in `store`.
"""
