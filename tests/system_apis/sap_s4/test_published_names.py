"""Names of the sales order service as we write and read them, held against SAP's own model of it."""

import json
import os
import shutil
import tarfile
from decimal import Decimal
from pathlib import Path
from subprocess import run

import pytest

from system_apis.sap_s4 import mapping, wire
from tests.system_apis.sap_s4.test_mapping import PRODUCTS, SETTINGS, order

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("npm") is None, reason="no npm: run tests/install_outside_tools.sh"),
]
PACKAGE = "@sap/cloud-sdk-vdm-sales-order-service@2.1.0"
SERVICE = "API_SALES_ORDER_SRV"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> dict:
    folder = Path(tmp_path_factory.mktemp("model"))
    run(["npm", "pack", PACKAGE], cwd=folder, check=True, capture_output=True, timeout=300, env={**os.environ})
    with tarfile.open(next(folder.glob("*.tgz"))) as packed:
        packed.extract("package/sales-order-service-csn.json", folder, filter="data")
    return json.loads((folder / "package/sales-order-service-csn.json").read_text())["definitions"]


def check(model, kind, payload, path):
    elements = model[f"{SERVICE}.{kind}"]["elements"]
    for name, value in payload.items():
        assert name in elements, f"{path}.{name}"
        element = elements[name]
        if element["type"] == "cds.Association":
            for each in value:
                check(model, element["target"].removeprefix(f"{SERVICE}."), each, f"{path}.{name}")
        elif element["type"] == "cds.String":
            assert len(value) <= element["length"], f"{path}.{name}"
        elif element["type"] == "cds.Decimal":
            digits = Decimal(value).as_tuple()
            assert -digits.exponent <= element["scale"], f"{path}.{name}"
            assert len(digits.digits) <= element["precision"], f"{path}.{name}"
        else:
            assert element["type"] == "cds.Date", f"{path}.{name}: {element['type']}"


def test_what_we_send_is_in_saps_model_and_fits_it(model):
    check(model, "A_SalesOrder", mapping.new_order(order(), PRODUCTS, SETTINGS), "A_SalesOrder")


@pytest.mark.parametrize(("kind", "ours"), [(wire.Order, ()), (wire.Item, ("Plant",))], ids=["order", "item"])
def test_what_we_read_is_in_saps_model(model, kind, ours):
    published = model[f"{SERVICE}.{kind.SET}"]["elements"]
    assert set(kind.__struct_encode_fields__) - {"__metadata"} - set(published) == set(ours)
