# Stands in for python311-template-launcher-base, of which the template takes the launcher alone.
FROM scratch
COPY launch.py /opt/google/dataflow/python_template_launcher
