package engine

// CatalogForTest is the catalog of a core without an engine around it.
func (c *Core) CatalogForTest() *Catalog {
	for _, p := range c.partOrder {
		p.stale = true
	}
	return c.catalog(nil)
}
