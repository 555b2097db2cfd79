"""One self-contained HTML file for a sweep or a plan: tables, plots and pictures of deployments, without a network."""
