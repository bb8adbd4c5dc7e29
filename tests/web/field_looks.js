"use strict";
module.exports = { async looks() {} };
