# `docker buildx bake -f deploy/images/docker-bake.hcl`: every service's image, each with its SBOM and provenance.
# A release: REGISTRY=registry.example.org VERSION=1.2.3 PYTHON_IMAGE=python@sha256:... docker buildx bake ... --push

variable "REGISTRY" {
  default = ""
}

variable "VERSION" {
  default = "local"
}

variable "PYTHON_IMAGE" {
  default = "python:3.11.14-slim-bookworm"
}

variable "SOURCE_DATE_EPOCH" {
  default = "0"
}

group "default" {
  targets = ["service"]
}

target "service" {
  name       = service
  matrix     = { service = ["gateway", "ipfs", "minter", "indexer", "notifier"] }
  context    = "."
  dockerfile = "deploy/images/Dockerfile"
  target     = service
  tags       = [notequal("", REGISTRY) ? "${REGISTRY}/mintstream/${service}:${VERSION}" : "mintstream/${service}:${VERSION}"]
  args = {
    PYTHON_IMAGE      = PYTHON_IMAGE
    SOURCE_DATE_EPOCH = SOURCE_DATE_EPOCH
  }
  platforms = ["linux/amd64"]
  attest = [
    "type=sbom",
    "type=provenance,mode=max",
  ]
}
