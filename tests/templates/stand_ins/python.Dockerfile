# Stands in for python:3.11-slim-bookworm: the same Debian and the same minor version of Python,
# from Debian's packages. The context is the folder that debootstrap has filled.
FROM scratch
COPY . /
ENV LANG=C.UTF-8
CMD ["python3"]
