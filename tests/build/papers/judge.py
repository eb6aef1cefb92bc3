"""Holds the papers of a build against readers that others wrote, and against the published schemas."""

import json
import sys
from pathlib import Path

from cyclonedx.model.bom import Bom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from google.protobuf.json_format import ParseDict
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage
from packageurl import PackageURL
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

directory = Path(sys.argv[1])


def read(name):
    return (directory / name).read_text(encoding="utf-8")


# SPDX: the project's own reader, which also knows every identifier of a licence.
spdx = parse_file(str(directory / "image.spdx.json"))
faults = [f"{fault.context.spdx_id}: {fault.validation_message}" for fault in validate_full_spdx_document(spdx)]
assert not faults, "\n".join(faults[:20])

# CycloneDX: the schema, the list of licences in it, and a reader that resolves every reference.
text = read("image.cdx.json")
fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
assert fault is None, fault
cyclonedx = Bom.from_json(json.loads(text))
assert cyclonedx.validate()

# SLSA: the message types of the specification, which refuse a field that they do not know.
statement = json.loads(read("image.provenance.json"))
message = dict(statement, type=statement["_type"])
del message["_type"]
Statement.copy_from_pb(ParseDict(message, StatementMessage())).validate()
provenance = ParseDict(statement["predicate"], Provenance())
assert provenance.build_definition.build_type and provenance.run_details.builder.id


def purls():
    for package in spdx.packages:
        yield from (ref.locator for ref in package.external_references)
    for component in cyclonedx.components:
        if component.purl:
            yield str(component.purl)


found = sorted(set(purls()))
for purl in found:
    assert PackageURL.from_string(purl).to_string() == purl, purl
print(f"{len(spdx.packages)} packages, {len(cyclonedx.components)} components, {len(found)} package URLs")
