"""Orders through the whole saga, to an ERP and two warehouses that run, counted in their books and in the record."""
