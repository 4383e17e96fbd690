"""SAP S/4HANA over its OData v2 APIs."""
