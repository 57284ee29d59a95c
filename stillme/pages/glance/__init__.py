"""Knowledge at a glance: charts over the domains, each of which registers its own."""
