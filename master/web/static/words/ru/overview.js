// Обзор.
export default {};
