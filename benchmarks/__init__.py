"""Figures that can be published: each module measures one claim, all of them write docs/benchmarks.md."""
