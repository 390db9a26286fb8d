"""Whole tables and filtered rows inside Datasette: jobs, their pages, their actions.

A thin shell: what a job does is for `library_scan`, which runs it in a process of its own.
"""
