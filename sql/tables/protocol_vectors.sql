-- Vectors from the sites of protocols with switches, to be added at `layer`.
CREATE TABLE protocol_vectors (
    model         VARCHAR NOT NULL,
    trait         VARCHAR NOT NULL,
    site          VARCHAR NOT NULL,   -- <offset|same>-<raw|chat>: where v is read, and from which text
    vector_id     VARCHAR NOT NULL,
    family        VARCHAR NOT NULL,
    layer         INTEGER NOT NULL,   -- block at whose output it is added
    read_layer    INTEGER NOT NULL,   -- block whose output it is read from
    chat_template VARCHAR NOT NULL,   -- yes, no
    norm          DOUBLE,             -- null: could not be made
    sha256        VARCHAR,            -- null: could not be made
    path          VARCHAR NOT NULL,
    reason        VARCHAR NOT NULL,   -- why it could not be made, or empty
    run_id        VARCHAR NOT NULL,
    code_version  VARCHAR NOT NULL
);
