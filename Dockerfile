# docker build -t mammo-tf . && docker run --rm -v "$PWD/runs:/runs" mammo-tf recipe compression --preset demo
FROM python:3.11-slim
WORKDIR /opt/mammo_tf
COPY . .
# The tested versions; nothing of the system's is needed, OpenJPEG comes with Pillow's wheel.
RUN pip install --no-cache-dir -c tools/constraints.txt '.[detection,fast,jpeg]' \
    && useradd --create-home user && mkdir /runs && chown user /runs
USER user
# Run folders land in /runs, `runs/NAME` where a command names none.
WORKDIR /
ENTRYPOINT ["mammo-tf"]
CMD ["--help"]
