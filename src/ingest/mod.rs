//! What comes in: MQTT and files.
