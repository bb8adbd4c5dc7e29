"use strict";
module.exports = { async people() {} };
