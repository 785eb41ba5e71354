# Stands in for apache/beam_python3.11_sdk, of which the template takes /opt/apache/beam alone.
FROM scratch
COPY boot.py /opt/apache/beam/boot
