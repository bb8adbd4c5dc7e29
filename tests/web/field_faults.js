"use strict";
module.exports = { async faults() {} };
